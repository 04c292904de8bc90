"""CDS Hooks 2.0: what an EHR is told while a chart is open or an order is written. https://cds-hooks.hl7.org/2.0/"""

from stepwell_routing.cds.routes import cds_services

__all__ = ["cds_services"]
