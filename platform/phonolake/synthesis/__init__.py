"""Made-up music collections whose truth is known: composed audio, wrong labels and broken files in FMA's layout."""
