// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

interface IVault {
    function unlock(bytes calldata data) external returns (bytes memory);

    function quote(bytes calldata data) external returns (bytes memory);
}

/// @notice Makes calls while Balancer's V3 Vault is unlocked, and holds the tokens that they need.
contract VaultHand {
    struct Call {
        address to;
        bytes data;
    }

    /// @notice Everything has to be settled by the last call.
    function act(IVault vault, Call[] calldata calls) external returns (bytes[] memory) {
        return abi.decode(vault.unlock(abi.encodeCall(this.carryOut, (calls))), (bytes[]));
    }

    /// @notice Nothing has to be settled; for an `eth_call` from the zero address alone.
    function ask(IVault vault, Call[] calldata calls) external returns (bytes[] memory) {
        return abi.decode(vault.quote(abi.encodeCall(this.carryOut, (calls))), (bytes[]));
    }

    function carryOut(Call[] calldata calls) external returns (bytes[] memory results) {
        results = new bytes[](calls.length);
        for (uint256 i; i < calls.length; ++i) {
            (bool done, bytes memory result) = calls[i].to.call(calls[i].data);
            if (!done) {
                assembly ("memory-safe") {
                    revert(add(result, 32), mload(result))
                }
            }
            results[i] = result;
        }
    }
}
