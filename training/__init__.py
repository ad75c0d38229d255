"""From simulated and labelled frames to a released model and a report on it."""
