"""What a single run can't say: which change did what, and how much of it is chance."""
