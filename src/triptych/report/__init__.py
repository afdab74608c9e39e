"""The comparison as a page, Markdown, a JSON file and pictures; see `page.py`."""

from triptych.report.entries import ClassRow, Copies, Entry, Heading, Point, Speed, Trial
from triptych.report.page import Report, write_report

__all__ = ["ClassRow", "Copies", "Entry", "Heading", "Point", "Report", "Speed", "Trial", "write_report"]
