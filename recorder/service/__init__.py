"""The recorder as a service: what it is made of, and how it is asked, reloaded and stopped."""
