"""The dashboard of a lake: `phonolake dashboard --lake L`, or `streamlit run dashboard/app.py -- --lake L`."""

import streamlit as st

# An emoji is drawn by the browser; a Material icon here would be fetched from the network.
st.set_page_config(page_title="Phonolake", page_icon="🎵", layout="wide")

PAGES = [
    st.Page("views/overview.py", title="Overview", icon=":material/dashboard:", default=True),
    st.Page("views/explore.py", title="Explore", icon=":material/library_music:"),
    st.Page("views/cooccurrence.py", title="Co-occurrence", icon=":material/grid_on:"),
    st.Page("views/label_vectors.py", title="Label vectors", icon=":material/hub:"),
    st.Page("views/label_noise.py", title="Label noise", icon=":material/rule:"),
    st.Page("views/reannotate.py", title="Re-annotate", icon=":material/headphones:"),
    st.Page("views/neighbours.py", title="Neighbours", icon=":material/hearing:"),
    st.Page("views/runs.py", title="Runs", icon=":material/model_training:"),
    st.Page("views/studies.py", title="Studies", icon=":material/science:"),
    st.Page("views/sql.py", title="SQL", icon=":material/database:"),
]

# Streamlit leaves six empty lines above the title, frames the page as a whole once a key was pressed, and writes some
# letters too faintly to be read by everybody.
st.html(
    "<style>.stMainBlockContainer { padding-top: 4.5rem } [data-testid=stMetricValue] { font-size: 1.8rem } "
    "section.stMain:focus-visible { outline: none; box-shadow: none } "
    ".stApp [data-testid=stCaptionContainer], .stApp kbd { opacity: .8 } "
    ".stApp [data-testid=stCaptionContainer] code { color: inherit } "
    ".stApp [data-variant=segmented_control][data-selected] { color: light-dark(#0f766e, #2dd4bf) }</style>"
)
# Along the top: lists, heatmaps and spectrograms need the width.
st.navigation(PAGES, position="top").run()
