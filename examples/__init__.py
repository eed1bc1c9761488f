"""Complete systems built on mlthresh; they are not part of the installed package."""
