"""Ways in which a folder comes to another place."""

import os
import shutil


def copied(source, place):
    shutil.copytree(source, place)


def hard_linked(source, place):
    shutil.copytree(source, place, copy_function=os.link)


def archived(source, place):
    shutil.make_archive(str(place.parent / "archive"), "tar", source)
    shutil.unpack_archive(str(place.parent / "archive.tar"), place)
