"""Recording pools: one watch for each, and what it needs to be exact and complete."""
