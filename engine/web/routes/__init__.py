"""The routes: one module per subject, each with a `router`. `engine.web.app` lists this folder."""
