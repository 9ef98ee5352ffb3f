"""From files to encoded rows: sources, formats, columns and their roles, split, vocabularies."""
