"""The usual mistakes of a first hour, and the sentence that each of them gets."""
