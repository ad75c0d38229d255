"""The networks, their export, and the released model files with their cards."""
