'use strict';
// Builds the addon from the package's sources: `node scripts/build.js [--if-needed] [--fixture]`.
//
// With --if-needed, which is how npm calls it after an installation, an addon that works here is left alone. --fixture
// also builds the binding of the test API, in a checkout.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { nativeFolder } = require('../runtime/load');

const folder = path.dirname(__dirname);
const platform = path.basename(nativeFolder(folder));
const addon = path.join(nativeFolder(folder), 'mullama.node');

/** Why the addon that is there does not work; '' if it does. */
function complaint() {
  if (!fs.existsSync(addon)) return `the package brings no addon for ${platform}`;
  try {
    require(addon);
    return '';
  } catch (error) {
    return `the addon for ${platform} does not work here: ${error.message}`;
  }
}

/** CMake: the one that CMAKE names, the system's, or that of a Python package. */
function findCmake() {
  const works = (program) => spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0;
  for (const program of [process.env.CMAKE, 'cmake']) if (program && works(program)) return program;
  for (const python of ['python3', 'python']) {
    const script = 'import cmake, os; print(os.path.join(cmake.CMAKE_BIN_DIR, "cmake"))';
    const found = spawnSync(python, ['-c', script], { encoding: 'utf8' });
    if (found.status === 0 && works(found.stdout.trim())) return found.stdout.trim();
  }
  throw new Error(
    'building the addon needs CMake 3.21 or newer and a C++17 compiler, and no CMake was found. ' +
      'Install one (a package of the system, or `pip install cmake`), or set CMAKE to its path.',
  );
}

function run(program, ...parameters) {
  const done = spawnSync(program, parameters, { stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' });
  if (done.error) throw done.error;
  if (done.status !== 0) throw new Error(`${[program, ...parameters].join(' ')} failed:\n${done.stdout}${done.stderr}`);
}

function build(withFixture) {
  const cmake = findCmake();
  const headers = path.dirname(require.resolve('node-api-headers/package.json'));
  const tree = path.join(folder, 'build', platform);
  const definitions = [`-DNODE_API_HEADERS=${headers}`, `-DNODE_PLATFORM=${platform}`];
  run(cmake, '-S', folder, '-B', tree, ...definitions, `-DMULLAMA_FIXTURE=${withFixture ? 'ON' : 'OFF'}`);
  run(cmake, '--build', tree, '--config', 'Release', '--parallel', '2');
  if (!fs.existsSync(addon)) throw new Error(`the build has made no ${addon}`);
}

function main(given) {
  const unknown = given.filter((one) => !['--if-needed', '--fixture'].includes(one));
  if (unknown.length > 0) throw new Error(`unknown arguments: ${unknown.join(' ')}`);
  if (given.includes('--if-needed')) {
    const why = complaint();
    if (!why) return;
    console.error(`mullama: ${why}; building it from its sources`);
  }
  build(given.includes('--fixture'));
}

if (require.main === module) {
  try {
    main(process.argv.slice(2));
  } catch (error) {
    console.error(`mullama: ${error.message}`);
    process.exitCode = 1;
  }
}

module.exports = { build };
