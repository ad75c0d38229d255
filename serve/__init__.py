"""The front door: the command line and the batch run behind it."""
