// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

// Every call is built at one fixed place: where Solidity's free memory starts when nothing was allocated. Nothing ever is
// on the paths of streams and callbacks; a test reads from the code that the compiler has reserved nothing there either.
uint256 constant BUFFER = 0x80;
