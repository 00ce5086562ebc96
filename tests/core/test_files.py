import io
import os
import zipfile

import pytest

from rpp_rl.errors import RunError
from rpp_rl.files import Archive, check_folder, replace_file


def test_a_file_is_replaced_by_bytes_or_by_what_a_function_writes(tmp_path):
    path = tmp_path / "deep" / "file"
    replace_file(path, b"one")
    replace_file(path, lambda file: file.write(b"two"))
    assert path.read_bytes() == b"two"
    assert os.listdir(path.parent) == ["file"]


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    replace_file(path, b"old")

    def fail(file):
        file.write(b"half")
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        replace_file(path, fail)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_folder_below_a_file_is_refused(tmp_path):
    check_folder(tmp_path / "new" / "newer", "choose another")
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"file: it is not a directory, or not writable; choose another"):
        check_folder(tmp_path / "file", "choose another")
    with pytest.raises(RunError, match=r"cannot write to .*below: .*file is not a directory"):
        check_folder(tmp_path / "file" / "below", "choose another")


def test_an_archive_is_read_member_by_member():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("member", b"content")
    archive = Archive(file, "x.zip")
    assert archive.read("member") == b"content"
    with pytest.raises(RunError, match="larger"):
        archive.read("member", 3)
    with pytest.raises(RunError, match=r"x.zip has no other"):
        archive.read("other")
