"""The commands that ask the history, one module each. They import late: `--help` is quick."""
