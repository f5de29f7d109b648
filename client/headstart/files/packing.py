"""Decide what a local path becomes when it is uploaded: the file as it is, or a tar of a table and the images it names.

Equal files give equal archives, so that what was uploaded once is not sent again.
"""

from __future__ import annotations

from pathlib import Path

from headstart.errors import InvalidArgument
from headstart.files import endings
from headstart.files.content import Content, FileContent
from headstart.files.named_images import named_images
from headstart.files.tar import Member, TarContent
from headstart.values.image_columns import ImageColumns

SHOWN = 20


def training_content(path: Path, columns: ImageColumns) -> Content:
    """Return what a job's data is: a file, or a folder that holds one table, or images in a folder per class.

    Raises:
        InvalidArgument: a folder with several tables or without any images, or images that are missing.
        OSError: a file cannot be read.
    """
    if not path.is_dir():
        packs = columns.may_exist and endings.is_table(path.name)
        return _with_images(path, path.parent, columns) if packs else FileContent(path)
    files = endings.files_below(path)
    tables = [file for file in files if endings.is_table(file.name)]
    if len(tables) > 1:
        shown = ", ".join(map(str, tables[:SHOWN]))
        raise InvalidArgument(f"{path} holds {len(tables)} tables; name one of them: {shown}", reason="MISSING_TABLE")
    return _with_images(tables[0], path, columns) if tables else _packed(path, files)


def folder_content(folder: Path) -> Content:
    """Return a whole folder: every table and every image; raises InvalidArgument where there is neither."""
    return _packed(folder, endings.files_below(folder))


def _with_images(table: Path, top: Path, columns: ImageColumns) -> Content:
    """Return a table, packed with the images that it names if it names any, by their paths below `top`."""
    # Beside the table first; each folder once.
    images = named_images(table, dict.fromkeys((table.parent, top)), columns) if columns.may_exist else []
    if not images:
        return FileContent(table)
    return TarContent(f"{table.stem}.tar", [_member(file, top) for file in dict.fromkeys((table, *images))])


def _packed(folder: Path, files: list[Path]) -> Content:
    wanted = [file for file in files if endings.is_table(file.name) or endings.is_image(file.name)]
    if not wanted:
        message = f"{folder} holds no table and no images ({', '.join(endings.IMAGES)}); name another folder or a file"
        raise InvalidArgument(message, reason="EMPTY_DATA")
    return TarContent(f"{folder.resolve().name or 'folder'}.tar", [_member(file, folder) for file in wanted])


def _member(file: Path, top: Path) -> Member:
    return Member(file.relative_to(top).as_posix(), file)
