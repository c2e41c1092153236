"""A study file in; arms, each trained several times on the same films, and one report on which of them helps, out."""
