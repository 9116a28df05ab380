"""Who logs in at the host that is measured with."""

USER = "root"
PASSWORD = "bench"
