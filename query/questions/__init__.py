"""What can be asked of a history, and how certain each answer is. Nothing here prints."""
