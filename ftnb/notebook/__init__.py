"""Inside a notebook: loading, magics, and how things are displayed."""
