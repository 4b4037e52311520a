"""Show results: tables, plots, an HTML page, and a progress bar."""
