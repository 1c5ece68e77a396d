'use strict';
// Finds the addon and the library: the environment variable, then beside the package, then pkg-config and the system.

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

/** The folder for the binaries of this platform, in a binding's own folder. */
function nativeFolder(folder) {
  return path.join(folder, 'native', `${process.platform}-${process.arch}`);
}

/** The file name of a shared library on this platform. */
function libraryName(name) {
  if (process.platform === 'win32') return `${name}.dll`;
  return process.platform === 'darwin' ? `lib${name}.dylib` : `lib${name}.so`;
}

/** The addon's operations. Throws an Error that says what was tried. */
function load({ name, major, folder, runtime }) {
  const addon = openAddon(name, folder);
  const tried = [];
  for (const candidate of candidates(name, major, folder)) {
    try {
      return addon.load(candidate, runtime);
    } catch (error) {
      tried.push(error.message);
    }
  }
  throw new Error(
    `lib${name} cannot be loaded. Set ${name.toUpperCase()}_LIBRARY to its path, or install it where pkg-config or the ` +
      `system finds it. Tried:\n${tried.map((line) => `  ${line}`).join('\n')}`,
  );
}

function openAddon(name, folder) {
  const file = path.join(nativeFolder(folder), `${name}.node`);
  try {
    return require(file);
  } catch (error) {
    throw new Error(
      `the package ${name} has no addon that works here (${process.platform} on ${process.arch}): ${error.message}\n` +
        `Build it from the package's sources with \`npm rebuild ${name}\`; that needs CMake and a C++ compiler.`,
      { cause: error },
    );
  }
}

/** Paths and names to try. What the user names, or what the package brings, is used and nothing else. */
function* candidates(name, major, folder) {
  const given = process.env[`${name.toUpperCase()}_LIBRARY`];
  if (given) {
    yield path.resolve(given);
    return;
  }
  const beside = path.join(nativeFolder(folder), libraryName(name));
  if (fs.existsSync(beside)) {
    yield beside;
    return;
  }
  const found = pkgConfig(name);
  if (found) yield path.join(found, libraryName(name));
  if (process.platform === 'linux') yield `${libraryName(name)}.${major}`;
  yield libraryName(name);
}

function pkgConfig(name) {
  try {
    const output = execFileSync('pkg-config', ['--variable=libdir', name], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return output.trim();
  } catch {
    return '';
  }
}

module.exports = { libraryName, load, nativeFolder };
