"""Storage: tables, the one place that commits, and one repository per aggregate. SQL lives here."""
