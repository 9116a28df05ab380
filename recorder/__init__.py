"""The service: records pools into the journal. It never imports `query` or duckdb."""
