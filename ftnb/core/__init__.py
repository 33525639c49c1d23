"""The trace model, its errors and its one canonical JSON: pure, and knowing nothing of stores or LangGraph."""
