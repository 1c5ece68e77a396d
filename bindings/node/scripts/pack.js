'use strict';
// Puts into the package what `npm pack` takes and a checkout has elsewhere: the addon and libmullama for this platform,
// the header, and the licences. `--clean` takes it away again, except what a build has made.
//
// The library is the one installed under MULLAMA_PREFIX, or where pkg-config finds mullama.

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { libraryName, nativeFolder } = require('../runtime/load');
const { build } = require('./build');

const folder = path.dirname(__dirname);
const native = nativeFolder(folder);
const library = path.join(native, libraryName('mullama'));
const include = path.join(folder, 'include');
const licenses = path.join(folder, 'licenses');

/** The folder under which libmullama is installed. */
function findPrefix() {
  if (process.env.MULLAMA_PREFIX) return process.env.MULLAMA_PREFIX;
  try {
    return execFileSync('pkg-config', ['--variable=prefix', 'mullama'], { encoding: 'utf8' }).trim();
  } catch {
    throw new Error(
      'set MULLAMA_PREFIX to the folder under which libmullama is installed, or install it where pkg-config finds it',
    );
  }
}

function stage() {
  const prefix = findPrefix();
  const places = ['lib', 'lib64', 'bin'].map((name) => path.join(prefix, name, libraryName('mullama')));
  const found = places.find((place) => fs.existsSync(place));
  if (!found) throw new Error(`there is no ${libraryName('mullama')} under ${prefix}`);
  build(false);
  fs.copyFileSync(fs.realpathSync(found), library);
  fs.cpSync(path.join(prefix, 'share', 'licenses', 'mullama'), licenses, { recursive: true });
  fs.mkdirSync(include, { recursive: true });
  fs.copyFileSync(path.join(folder, '..', '..', 'abi', 'include', 'libmullama.h'), path.join(include, 'libmullama.h'));
}

/** Without this a checkout would go on with what it has packed once. */
function clean() {
  for (const one of [include, licenses, library]) fs.rmSync(one, { recursive: true, force: true });
}

try {
  if (process.argv.includes('--clean')) clean();
  else stage();
} catch (error) {
  console.error(`mullama: ${error.message}`);
  process.exitCode = 1;
}
