// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title What halmos does when these addresses are called
interface Symbolic {
    function createBytes(uint256 size, string memory name) external pure returns (bytes memory);
    function createAddress(string memory name) external pure returns (address);
    function createUint256(string memory name) external pure returns (uint256);
}

interface Machine {
    function assume(bool condition) external pure;
    function prank(address sender) external;
}

Symbolic constant SYMBOLIC = Symbolic(address(uint160(uint256(keccak256("svm cheat code")))));
Machine constant MACHINE = Machine(address(uint160(uint256(keccak256("hevm cheat code")))));
