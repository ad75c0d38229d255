"""A physically based, seeded picture of Io through its visitors' cameras.

scene (who looks from where, what erupts) -> light (disk, plumes, hot spots, sky) -> camera (PSF, noise) -> Sample
"""
