"""The app: thin pages over the library. The only place that knows streamlit."""
