"""Data sets from files that users have: exports of SpinW, Horace and Mantid."""
