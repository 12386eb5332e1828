"""EnvayaSMS: phones that post signed forms and read XML or JSON. See README.md for the quirks."""
