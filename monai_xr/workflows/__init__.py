"""Runs whole jobs: bundles, verdicts on images and classifiers, studies. Import from the modules: each loads little."""
