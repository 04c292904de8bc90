"""Search: from query parameters to one statement over promoted columns and index rows, page by page.

https://hl7.org/fhir/R4/search.html
"""
