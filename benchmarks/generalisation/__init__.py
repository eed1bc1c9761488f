"""How well thresholds hold on data that did not choose them: strategies, sets and tables."""
