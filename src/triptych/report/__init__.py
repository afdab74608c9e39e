"""The comparison as a page, a JSON file and pictures; see `page.py`."""

from triptych.report.page import Entry, Heading, Report, write_report

__all__ = ["Entry", "Heading", "Report", "write_report"]
