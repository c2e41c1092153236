"""Bundle or study in; run, report and record out. Import from the modules: each loads only what it needs."""
