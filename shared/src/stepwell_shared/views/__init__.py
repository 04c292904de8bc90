"""SQL on FHIR: resources as rows of flat tables, as a ViewDefinition says.

Views run over millions of resources, so their paths are compiled; the language is the subset of FHIRPath that shareable
views may use. https://sql-on-fhir.org/ig/2.0.0/StructureDefinition-ViewDefinition.html
"""
