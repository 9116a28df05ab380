"""From the journal into the history: read, compared, folded into rows, and stored exactly once."""
