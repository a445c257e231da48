// Gives the npm compiler the command line of the native one, as far as ape, py-solc-x, slither and forge use it:
// `--version`, and `--standard-json [FILE]` with `--base-path`, `--include-path` and `--allow-paths`.
// ORION_SOLC_PACKAGE names another installed compiler package, for example solc019.
'use strict';

const fs = require('fs');
const path = require('path');

const STDIN = 0, STDOUT = 1, STDERR = 2;
const packageFolder = path.join(__dirname, 'node_modules', process.env.ORION_SOLC_PACKAGE || 'solc');

/** Writes all of it before returning: the exit of the process would cut a pending write to a pipe off at 64 KB. */
function write(descriptor, text) {
  let rest = Buffer.from(text, 'utf8');
  while (rest.length > 0) {
    try {
      rest = rest.subarray(fs.writeSync(descriptor, rest));
    } catch (error) {
      if (error.code === 'EPIPE') process.exit(141); // the reader has left
      if (error.code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1); // a full pipe that does not block: let it drain
    }
  }
}

function fail(message) {
  write(STDERR, `${message}\n`);
  process.exit(1);
}

/** The version under the platform name of the native build, as callers expect it. Kept in a file: loading takes 1 s. */
function version() {
  const { version: release } = require(path.join(packageFolder, 'package.json'));
  const note = path.join(packageFolder, `.full-version-${release}`);
  if (fs.existsSync(note)) return fs.readFileSync(note, 'utf8');
  const full = require(packageFolder).version().replace('Emscripten.clang', 'Linux.g++');
  try {
    fs.writeFileSync(`${note}.${process.pid}`, full);
    fs.renameSync(`${note}.${process.pid}`, note); // two first calls at once must not read half a line
  } catch (error) {
    if (!['EACCES', 'EPERM', 'EROFS'].includes(error.code)) throw error; // not our installation: only slower
  }
  return full;
}

function parse(argv) {
  const options = { version: false, standardJson: false, basePath: '', includePaths: [], input: STDIN };
  const takesValue = {
    '--base-path': (value) => { options.basePath = value; },
    '--include-path': (value) => { options.includePaths.push(value); },
    '--allow-paths': () => {}, // accepted and not enforced: only the project's own sources are compiled
  };
  for (let i = 0; i < argv.length; i++) {
    const equals = argv[i].startsWith('--') ? argv[i].indexOf('=') : -1;
    const name = equals < 0 ? argv[i] : argv[i].slice(0, equals);
    if (name === '--version') options.version = true;
    else if (name === '--standard-json') options.standardJson = true;
    else if (name in takesValue) {
      const value = equals < 0 ? argv[++i] : argv[i].slice(equals + 1);
      if (value === undefined) fail(`${name} needs a value.`);
      takesValue[name](value);
    } else if (name === '-' || !name.startsWith('-')) options.input = name === '-' ? STDIN : name;
    else fail(`Unknown option ${name}: this wrapper of the npm compiler knows --version and --standard-json.`);
  }
  return options;
}

/** Looks a source up as the native compiler does: below the base path, then below each include path, in order. */
function reader({ basePath, includePaths }) {
  const roots = [basePath || process.cwd(), ...includePaths].map((root) => path.resolve(root));
  return (unit) => {
    const name = unit.replace(/^file:\/\//, '');
    const candidates = path.isAbsolute(name) ? [name] : roots.map((root) => path.join(root, name));
    const found = candidates.find((file) => fs.existsSync(file) && fs.statSync(file).isFile());
    return found ? { contents: fs.readFileSync(found, 'utf8') } : { error: `File not found: ${candidates.join(', ')}` };
  };
}

const options = parse(process.argv.slice(2));
if (!fs.existsSync(packageFolder)) fail(`No compiler in ${packageFolder}. Run \`make setup\`.`);
if (options.version) {
  write(STDOUT, `solc, the solidity compiler commandline interface\nVersion: ${version()}\n`);
} else if (options.standardJson) {
  const input = fs.readFileSync(options.input, 'utf8');
  write(STDOUT, `${require(packageFolder).compile(input, { import: reader(options) })}\n`);
} else {
  fail('Nothing to do: give --version or --standard-json.');
}
