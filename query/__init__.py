"""The history: loads the journal into DuckDB and answers questions. It never talks to a pool."""
