"""The kit of reports: pages, figures, drawings, tables, words."""
