"""Pages for people who work here: who may see them, what is put on record, what refuses, and what all have in common.

A service hands `staff_door` what shows its pages; `Visit` says who has come, and `Shown` what they get to see:

    async def show(visit: Visit) -> Shown:
        visit.access.require("Task", "search-type")
        body = whole_page("Worklist", ..., csrf_field(visit.runtime, visit.access), language=visit.language)
        return Shown(body, "search-type", "Task", headers=page_headers(has_forms=True))

    page = staff_door(runtime, authenticate, show, methods=("GET", "HEAD", "POST"), languages=("en", "de", "es", "fr"))
"""
