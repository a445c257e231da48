// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

interface Token {
    function balanceOf(address owner) external view returns (uint256);
    function allowance(address owner, address spender) external view returns (uint256);
}

interface Roles {
    function operator() external view returns (address);
}

/// @title Reads in one call all that an attack must not have changed
contract Auditor {
    /// @return balances Of each owner in turn: every token, then the chain's coin.
    /// @return allowed How many allowances the executor has left to anybody.
    /// @return idle Whether the executor serves its roles, which it does only while it expects nobody.
    function audit(address executor, address[] calldata owners, address[] calldata tokens, address[] calldata spenders)
        external
        view
        returns (uint256[] memory balances, uint256 allowed, bool idle)
    {
        uint256 width = tokens.length + 1;
        balances = new uint256[](owners.length * width);
        for (uint256 i = 0; i < owners.length; i++) {
            for (uint256 j = 0; j < tokens.length; j++) balances[i * width + j] = Token(tokens[j]).balanceOf(owners[i]);
            balances[i * width + tokens.length] = owners[i].balance;
        }
        for (uint256 i = 0; i < spenders.length; i++) {
            for (uint256 j = 0; j < tokens.length; j++) {
                if (Token(tokens[j]).allowance(executor, spenders[i]) != 0) allowed++;
            }
        }
        try Roles(executor).operator() returns (address) {
            idle = true;
        } catch {}
    }
}
