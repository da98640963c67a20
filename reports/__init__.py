"""Reports: pages, tables and figures from a run archive; listening tests."""
