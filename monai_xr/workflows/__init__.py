"""Bundle or study in; run, report and record out."""
