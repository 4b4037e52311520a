"""Write the submission's ZIP reproducibly, and read one without trusting it."""

import io
import stat
import zipfile
from collections.abc import Mapping
from pathlib import PurePosixPath

from checkpoints_to_source.validation.fault import Fault

FILES = ("README.md", "train.py", "report.pdf")
LARGEST = 100 * 2**20  # bytes of a file; even the sample pairs' weights take less
LARGEST_ZIP = (len(FILES) + 1) * LARGEST
MOST_ENTRIES = 100  # with more, report a single fault
#: Other methods unpack blocks of any size at once: 160 kB of bzip2 can become 4.8 GB.
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
EPOCH = (1980, 1, 1, 0, 0, 0)  # the format's earliest date


def pack(files: Mapping[str, bytes]) -> bytes:
    """Return a ZIP of `files`, name -> content. Equal files give equal bytes.

    Files are stored, not deflated, since deflated bytes depend on the zlib version.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.create_system = 3  # Unix, wherever it is written
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(entry, content)
    return buffer.getvalue()


def unpack(content: bytes) -> tuple[dict[str, bytes], list[Fault]]:
    """Return `(files, faults)` of a ZIP. `files` holds the contents of sound FILES, by name.

    Nothing is written to disk, and at most LARGEST bytes of an entry are unpacked. The list of
    entries can be as long as the ZIP, so call this within `bounded`.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    except MemoryError:
        raise
    except Exception as problem:  # a broken ZIP can raise anything
        return {}, [Fault("ZIP", f"is no ZIP file ({problem})", "build it again")]
    entries = archive.infolist()
    if len(entries) > MOST_ENTRIES:
        what = f"holds {len(entries):,} entries"
        return {}, [Fault("ZIP", what, f"leave only {', '.join(FILES)}")]
    files, faults = {}, []
    for entry in entries:
        if wrong := _wrong(entry, files):
            faults.append(Fault(entry.filename, *wrong))
            continue
        try:
            files[entry.filename] = _read(archive, entry)
        except MemoryError:
            raise
        except Exception as why:
            faults.append(Fault(entry.filename, f"is damaged ({why})", "build the ZIP again"))
    missing = [name for name in FILES if name not in archive.namelist()]
    faults += [Fault(name, "is missing", f"add {name} to the ZIP's top level") for name in missing]
    return files, faults


def _wrong(entry, files):
    """Return what is wrong with an entry and the fix, or None."""
    path = PurePosixPath(entry.filename.replace("\\", "/"))
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if path.is_absolute() or ".." in path.parts or ":" in entry.filename:
        return "points outside of the ZIP's folder", "use plain names without folders"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is no regular file", "put the file itself into the ZIP"
    if entry.is_dir() or len(path.parts) > 1:
        return "is in a folder of its own", "put the three files at the top level, without folders"
    if entry.filename not in FILES:
        similar = [name for name in FILES if name.lower() == entry.filename.lower()]
        if similar:
            return "is spelt in the wrong case", f"rename it to {similar[0]}"
        return "does not belong to a submission", f"leave only {', '.join(FILES)}"
    if entry.filename in files:
        return "is there twice", "keep one of the two"
    if entry.flag_bits & 0x1:
        return "is encrypted", "build the ZIP without a password"
    if entry.compress_type not in METHODS:
        method = zipfile.compressor_names.get(entry.compress_type, entry.compress_type)
        return f"is compressed by {method}", "build the ZIP with deflate, or without compression"
    if entry.file_size > LARGEST:
        return f"is huge ({entry.file_size:,} bytes)", f"keep it below {LARGEST:,} bytes"
    return None


def _read(archive, entry):
    with archive.open(entry) as file:
        content = file.read(LARGEST + 1)
    if len(content) != entry.file_size:
        raise zipfile.BadZipFile("its size is not the one stated")
    return content
