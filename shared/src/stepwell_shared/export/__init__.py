"""Bulk export: `$export` of the whole service, of all patients and of a group, as files of one resource a line.

Files are not written: each is a place in the append-only history, read as it was when the export was asked for.
https://hl7.org/fhir/uv/bulkdata/STU2/export.html
"""
