"""Writes every generated file that is out of date."""

from __future__ import annotations

from generate.files import files


def main() -> None:
    for path, text in files().items():
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)


if __name__ == "__main__":
    main()
