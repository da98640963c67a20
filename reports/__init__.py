"""Reports: pages, tables and figures from a run archive; listening tests."""

from clapstick.reports.pages import build_report

__all__ = ["build_report"]
